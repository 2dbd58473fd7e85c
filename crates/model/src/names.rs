//! Wire names: one spelling per word, used by config, API, CLI and metric labels alike.

use std::fmt;

/// A word that is not one of the closed set it was read as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    /// What was being read, e.g. `write policy`.
    pub what: &'static str,
    /// The word as it was given.
    pub given: String,
    /// The words that would have been accepted.
    pub expected: &'static [&'static str],
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown {} `{}`; expected one of {}",
            self.what,
            self.given,
            self.expected.join(", ")
        )
    }
}

impl std::error::Error for UnknownName {}

/// Declares a closed set of words: the enum, `ALL`, `as_str`, `Display` and `FromStr`.
#[macro_export]
macro_rules! wire_names {
    ($(#[$meta:meta])* $vis:vis enum $name:ident ($what:literal) {
        $($(#[$vmeta:meta])* $variant:ident => $wire:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The wire name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire),+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::UnknownName;
            fn from_str(given: &str) -> Result<Self, $crate::UnknownName> {
                match given {
                    $($wire => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownName {
                        what: $what,
                        given: given.to_owned(),
                        expected: &[$($wire),+],
                    }),
                }
            }
        }
    };
}
