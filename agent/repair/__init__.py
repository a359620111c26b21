"""`isr-agent repair`: does by hand what the start of an agent does by itself, and makes anew what can be made anew.

What was recorded is never overwritten and never deleted.
"""
