#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

// The modules are nested as the packages are, because generated code refers to
// other packages by paths relative to its own.

/// The package `tidings.v1`: the stable contract.
#[allow(clippy::all, missing_docs, rustdoc::all)]
pub mod v1 {
    include!("generated/tidings.v1.rs");
}

/// The package `tidings.v1beta1`: what may still change.
#[allow(clippy::all, missing_docs, rustdoc::all)]
pub mod v1beta1 {
    include!("generated/tidings.v1beta1.rs");
}

/// What schemas say about their events.
pub mod options {
    /// The package `tidings.options.v1`.
    #[allow(clippy::all, missing_docs, rustdoc::all)]
    pub mod v1 {
        include!("generated/tidings.options.v1.rs");
    }
}

/// What servers and clients of the contract are tested with.
pub mod conformance {
    /// The package `tidings.conformance.v1`.
    #[allow(clippy::all, missing_docs, rustdoc::all)]
    pub mod v1 {
        include!("generated/tidings.conformance.v1.rs");
    }
}

/// The schemas of all packages and of all that they import, as an encoded
/// `google.protobuf.FileDescriptorSet`: for reflection, for JSON and for options
/// such as the rules of `buf.validate`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/descriptor_set.binpb");
