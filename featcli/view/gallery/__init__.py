"""A page with rows of similar pictures, as one self-contained HTML file."""

from featcli.view.gallery.page import Row, Tile, page

__all__ = ["Row", "Tile", "page"]
