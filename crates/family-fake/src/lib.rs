//! An in-memory family: for the simulator and as proof that the ports are neutral.
