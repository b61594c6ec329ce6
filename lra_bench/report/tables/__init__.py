"""The report's tables, one module for each kind; see `table.Table`."""
