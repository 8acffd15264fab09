"""A pickle machine that builds plain data and inert stand-ins, and can call nothing."""
