//! What differs between what is and what is to be, as a value.
