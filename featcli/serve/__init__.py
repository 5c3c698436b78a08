"""`featcli serve`: a local web page for building pipelines and viewing their results.

`access` checks who may send requests, `server` handles HTTP with limits, `answers` turns requests
into calls of `backend`, which computes results and keeps pictures, results and models in caches
(`cache`); `steps` parses the steps of a request without opening files, `memory` returns memory to
the system, `snippets` writes a pipeline as a command and as Python, and `page` builds the page.

The state of a user's work is in the page, not in the server: any number of tabs may be open.
"""
