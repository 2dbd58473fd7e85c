//! Copy, replay, verify, repair, throttle; family-blind.
