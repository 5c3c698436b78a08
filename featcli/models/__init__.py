"""Networks: their layers and files, and how they are run, trained and explained."""
