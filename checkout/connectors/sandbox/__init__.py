"""The sandbox PSP: a small payment service provider of our own, for development and demonstrations.

It keeps its objects in its own tables, takes payments on its own hosted page, and tells the rest of Rako what
happened only through signed webhooks over HTTP, as an outside provider would. It knows nothing of the project
but `rako.core` and the connector contract, and it takes no other cards than the published test numbers.
"""
