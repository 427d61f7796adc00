"""The command `report`: `queries` read a journal, `terminal` and `page` show what they found."""
