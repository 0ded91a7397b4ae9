//! `Upsample`, and the `Resize` it became.
use super::change::{Entry, Reason, Site, adapt};
use lapidary_ir::{NewNode, Patch, Tensor};

pub(super) const CHANGES: &[Entry] = &[
    adapt(9, &["Upsample"], scales),
    adapt(10, &["Upsample"], upsample),
    adapt(11, &["Resize"], resize),
    adapt(13, &["Resize"], omit_empty),
];

fn scales(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    let scales = site.node().floats("scales").ok_or("it has no scales")?;
    patch.remove_attribute(site.id, "scales");
    site.set_constant(patch, 1, "scales", Tensor::vector(scales));
    Ok(())
}

fn upsample(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    let resize = patch.node(NewNode::like(site.graph, site.id).op_type("Resize"));
    patch.replace(site.output()?, resize);
    Ok(())
}

/// y\[i\] was x\[floor(i / scale)\], or lay between that and its neighbour. Only enlarging was
/// defined.
fn resize(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    let scales = site.graph.constant_input(site.id, 1).and_then(|scales| scales.to_f32());
    let enlarges = scales.is_some_and(|scales| scales.iter().all(|&scale| scale >= 1.0));
    if !enlarges {
        return Err("which elements it takes was defined for constant scales of 1 and more");
    }
    let nearest = match site.node().string("mode").unwrap_or("nearest") {
        "nearest" => true,
        "linear" => false,
        _ => return Err("its mode has no successor"),
    };
    let scales = site.input(1)?;
    let no_roi = site.constant(patch, "roi", Tensor::vector::<f32>(&[]));
    patch.set_input(site.id, 1, Some(no_roi));
    patch.set_input(site.id, 2, Some(scales.into()));
    patch.set_attribute(site.id, "coordinate_transformation_mode", "asymmetric");
    if nearest {
        patch.set_attribute(site.id, "nearest_mode", "floor");
    }
    Ok(())
}

/// What is not given is omitted from now on, where it was empty.
fn omit_empty(site: &Site<'_>, patch: &mut Patch) -> Result<(), Reason> {
    if site.node().string("coordinate_transformation_mode") == Some("tf_half_pixel_for_nn") {
        return Err("the coordinates `tf_half_pixel_for_nn` are gone");
    }
    for slot in [1, 2] {
        let given = site.graph.constant_input(site.id, slot);
        if given.is_some_and(|tensor| tensor.is_empty()) {
            patch.set_input(site.id, slot, None);
        }
    }
    Ok(())
}
