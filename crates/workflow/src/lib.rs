//! One guided run: step(state, event) -> (state, actions). Pure.
