"""Converters at the edges of an array: DACs at the rows, ADCs at the columns."""
