//! What goes in and out of model files and the files beside them.

mod external;
mod reading;
mod samples;
mod writing;
