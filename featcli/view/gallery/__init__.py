"""Pictures that are alike, side by side: one HTML file that needs nothing else."""

from featcli.view.gallery.page import Row, Tile, page

__all__ = ["Row", "Tile", "page"]
