//! What the studio shows and does, without a window: live worlds, editor, plots, runs, labelling as egui panels
