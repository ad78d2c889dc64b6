"""The PSPs behind the connectors, each made to look the same, for the one suite that holds for all of them."""
