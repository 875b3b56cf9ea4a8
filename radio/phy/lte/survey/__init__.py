"""The survey of a recording: everything on the sidelink that it holds, found with little or no knowledge of pools."""
