"""Readers of raw data: Parquet and hub tables, TSV releases, image folders."""
