"""The parts of `pc5lab phy decode`: one carrier's samples, their survey, and doubts about them."""
