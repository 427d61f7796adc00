"""The command `report`: what a journal says about a run, for people and for programs.

`queries` reads the journal into plain values, `terminal` and `page` show them.
"""
