"""Labels on paper: the codes, the papers, and what stands on each label."""
