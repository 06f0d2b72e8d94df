//! What an identity may do beyond what every identity may.

/// A permission that must be given to an identity by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// To read through the gateway, in the clear, what any reference to a vault stands for.
    VaultValues,
}
