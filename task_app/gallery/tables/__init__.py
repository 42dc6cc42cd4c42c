"""What is in a table: types, missing values, statistics and histograms, in one memory however many rows there are."""
