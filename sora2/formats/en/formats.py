"""How Django writes times on its own pages: as ours do, with the zone (FORMAT_MODULE_PATH leads here)."""

DATETIME_FORMAT = "Y-m-d H:i:s e"
DATE_FORMAT = "Y-m-d"
