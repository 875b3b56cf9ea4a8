"""What `pc5lab phy decode` does with a recording: one carrier's samples, their survey, and doubts about them."""
