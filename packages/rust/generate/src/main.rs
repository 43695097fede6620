//! Generates the code of the crate: `generate SCHEMAS OUT`, two directories. It
//! compiles the schemas itself, so that no `protoc` is needed.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

/// The packages of the crate, by their directories.
const PACKAGES: [&str; 4] = [
    "tidings/options/v1",
    "tidings/v1",
    "tidings/v1beta1",
    "tidings/conformance/v1",
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [schemas, out] = arguments.as_slice() else {
        return Err("usage: generate SCHEMAS OUT".into());
    };
    fs::create_dir_all(out)?;
    // prost knows no options, so the schemas are written before it takes them.
    let compact = compile(schemas, false)?.encode_file_descriptor_set();
    fs::write(out.join("descriptor_set.binpb"), compact)?;

    // It would be generated too, and only options refer to it.
    let mut files = compile(schemas, true)?.file_descriptor_set();
    files.file.retain(|file| file.package() != "buf.validate");
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    config.type_name_domain(["."], "type.googleapis.com");
    tonic_prost_build::configure()
        .out_dir(out)
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .compile_fds_with_config(files, config)?;
    Ok(())
}

/// Compiles the packages with all that they import.
fn compile(schemas: &Path, comments: bool) -> Result<protox::Compiler, Box<dyn Error>> {
    let mut compiler = protox::Compiler::new([schemas])?;
    compiler.include_imports(true).include_source_info(comments);
    for package in PACKAGES {
        for file in schema_files(&schemas.join(package))? {
            compiler.open_file(file)?;
        }
    }
    Ok(compiler)
}

/// The schemas in a directory, in the order of their names.
fn schema_files(directory: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
