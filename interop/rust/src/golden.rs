//! The golden vectors, decoded by the schemas that the crate holds: prost's own
//! types have no JSON.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;

/// Writes each vector again as it is.
pub fn copy(golden: &Path, out: &Path) -> Result<()> {
    each_vector(golden, ".binpb", |name, data, descriptor| {
        let message = DynamicMessage::decode(descriptor, data)?;
        Ok(fs::write(
            out.join(format!("{name}.binpb")),
            message.encode_to_vec(),
        )?)
    })
}

/// Turns each vector into the other form.
pub fn copy_json(golden: &Path, out: &Path) -> Result<()> {
    each_vector(golden, ".binpb", |name, data, descriptor| {
        let message = DynamicMessage::decode(descriptor, data)?;
        Ok(fs::write(
            out.join(format!("{name}.json")),
            serde_json::to_vec(&message)?,
        )?)
    })?;
    each_vector(golden, ".json", |name, data, descriptor| {
        let mut json = serde_json::from_slice(data)?;
        largest_floats_as_text(&mut json);
        let message = DynamicMessage::deserialize(descriptor, json)?;
        Ok(fs::write(
            out.join(format!("{name}.json.binpb")),
            message.encode_to_vec(),
        )?)
    })
}

/// Makes a string, which JSON may have for any number, of what is the largest float
/// in its shortest form, 3.4028235e38: as a double it is larger than that float, and
/// prost-reflect 0.16 refuses it. A `google.protobuf.Value` would hold the string.
fn largest_floats_as_text(json: &mut Value) {
    match json {
        Value::Array(items) => items.iter_mut().for_each(largest_floats_as_text),
        Value::Object(fields) => fields.values_mut().for_each(largest_floats_as_text),
        Value::Number(number) => {
            let double = number.as_f64().unwrap_or_default();
            if double.abs() > f32::MAX.into() && (double as f32).is_finite() {
                *json = Value::String(number.to_string());
            }
        }
        _ => {}
    }
}

/// Calls `take` with the name of each vector, `LABEL-NAME`, with what it holds and
/// with its type.
fn each_vector(
    golden: &Path,
    extension: &str,
    take: impl Fn(&str, &[u8], MessageDescriptor) -> Result<()>,
) -> Result<()> {
    let pool = DescriptorPool::decode(example_tidings::FILE_DESCRIPTOR_SET)?;
    let mut vectors = 0;
    for entry in fs::read_dir(golden)? {
        let file = entry?.file_name();
        let file = file.to_str().context("a name that is not UTF-8")?;
        let Some(name) = file.strip_suffix(extension) else {
            continue;
        };
        let (_, type_name) = name.split_once('-').with_context(|| file.to_string())?;
        let descriptor = pool
            .get_message_by_name(type_name)
            .with_context(|| format!("{file}: no such message"))?;
        take(name, &fs::read(golden.join(file))?, descriptor).with_context(|| file.to_string())?;
        vectors += 1;
    }
    ensure!(vectors > 0, "there are no vectors in {}", golden.display());
    Ok(())
}
