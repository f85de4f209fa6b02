"""Articles enter here and come out as hits."""
