"""The `identity` profile: I_MESSAGEs in the Request and the Accept, the keys confirmed by both ends."""
