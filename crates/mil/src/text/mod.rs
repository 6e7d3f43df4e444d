//! The text form of programs, in both of Apple's dialects.
