"""The sections of a UE's configuration: pydantic models at the border, settings objects inside."""
