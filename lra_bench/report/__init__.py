"""Reports drawn from records: statistics, tables, plots, the page."""
