"""The command `report`: `queries` read a journal, `terminal` and `page` show its `content`."""
