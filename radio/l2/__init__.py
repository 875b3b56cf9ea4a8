"""Layer 2 of the sidelink: MAC, RLC UM and PDCP, which fill blocks of octets and know no access technology."""
