//! Copies the code under check for each variant: as it is, and once per mutant with the mutant's change. So the product
//! has no hooks for mutants, and the check always has the code of the day. A change that no longer fits fails the build.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

/// The code under check, by the module that it becomes.
const MODULES: &[(&str, &str)] = &[
    ("lane", "../src/lane.rs"),
    ("frame", "../src/lane/frame.rs"),
    ("position", "../src/lane/position.rs"),
    ("ready_set", "../src/lane/ready_set.rs"),
    ("wire", "../src/lane/wire.rs"),
    ("lane_set", "../src/session/account/lane_set.rs"),
    ("delivery", "../src/session/delivery.rs"),
    ("visibility", "../src/session/visibility.rs"),
    ("write_half", "../src/session/write_half.rs"),
    ("run", "../src/session/group/run.rs"),
    ("reader", "../src/session/group/reader.rs"),
    ("sessions", "src/sessions.rs"),
    ("groups", "src/groups.rs"),
];

/// A bug, put into one module by replacing a piece of text that occurs once.
struct Mutant {
    name: &'static str,
    module: &'static str,
    replace: &'static str,
    with: &'static str,
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "commit_point_read_after_frames",
        module: "lane",
        replace: "let point = self.lanes.commit_point();\n        let end = self.take(max, into)?;",
        with: "let end = self.take(max, into)?;\n        let point = self.lanes.commit_point();",
    },
    Mutant {
        name: "commit_point_read_after_ready_set",
        module: "lane_set",
        replace: "let point = self.lanes.commit_point();\n        let ready = self.ready_set.take();",
        with: "let ready = self.ready_set.take();\n        let point = self.lanes.commit_point();",
    },
    Mutant {
        name: "readiness_checked_before_insertion",
        module: "lane",
        replace: "        write(&subscription.position.lane.ready_sets)\n            .insert(",
        with: "        let early = !subscription.is_at_end();\n        \
               write(&subscription.position.lane.ready_sets)\n            .insert(",
    },
    Mutant {
        name: "own_origin_set_after_publishing",
        module: "lane",
        replace: "        if let Some(origin) = own_origin {",
        with: "        if logged {\n            self.publish(point.clone());\n        }\n        \
               if let Some(origin) = own_origin {",
    },
    Mutant {
        name: "lane_marked_before_frames_are_in",
        module: "lane",
        replace: "        let next = {\n            let mut ring",
        with: "        for (ready_set, key) in read(&self.ready_sets).values() {\n            \
               ready_set.mark(*key);\n        }\n        let next = {\n            let mut ring",
    },
    Mutant {
        name: "replay_up_to_the_commit_point_of_now",
        module: "lane",
        replace: "wait_for(|point| point.number >= push_begun)",
        with: "wait_for(|point| point.number >= push_begun.min(0))",
    },
    Mutant {
        name: "end_counted_after_the_frames_are_found",
        module: "lane",
        replace: "            self.end.store(ring.end(), Ordering::Release);\n            ring.end()\n        };",
        with: "            ring.end()\n        };\n        self.end.store(next, Ordering::Release);",
    },
    Mutant {
        name: "end_read_before_lending",
        module: "reader",
        replace: "        // Looked at with the lock held",
        with: "        drop(state);\n        let is_at_end = self.state().is_at_end(None);\n        let mut state = self.state();\n        //",
    },
    Mutant {
        name: "cursor_beyond_another_lane",
        module: "reader",
        replace: "(is_quick || cursor.is_some()) && state.is_at_end(Some(position))",
        with: "is_quick || cursor.is_some()",
    },
    Mutant {
        name: "own_lane_not_looked_at",
        module: "reader",
        replace: "own_lane.is_at_end() && run.is_plain()",
        with: "run.is_plain()",
    },
    Mutant { name: "written_to_after_leaving", module: "reader", replace: "        room.leave();", with: "" },
    Mutant {
        name: "reader_returned_without_a_wake",
        module: "reader",
        replace: "                self.returned.notify_one();",
        with: "",
    },
    Mutant {
        name: "lent_and_kept",
        module: "reader",
        replace: "            return Some(progress);",
        with: "            state.holder = Holder::Lent(progress.clone());\n            return Some(progress);",
    },
    Mutant {
        name: "begun_frame_forgotten",
        module: "reader",
        replace: "progress.unsent = rest.to_vec();",
        with: "",
    },
    Mutant {
        name: "lane_end_goes_back",
        module: "lane",
        replace: "self.next.send_if_modified(|current| {\n            let grows = next > *current;\n            \
                  *current = next.max(*current);\n            grows\n        });",
        with: "self.next.send_replace(next);",
    },
];

/// Further changes that a mutant needs to take effect.
const ALSO: &[Mutant] = &[
    Mutant {
        name: "end_read_before_lending",
        module: "reader",
        replace: "        if !state.is_at_end(None) {",
        with: "        if !is_at_end {",
    },
    Mutant {
        name: "readiness_checked_before_insertion",
        module: "lane",
        replace: "        if !subscription.is_at_end() {",
        with: "        if early {",
    },
    Mutant {
        name: "lane_marked_before_frames_are_in",
        module: "lane",
        replace: "            grows\n        });\n        for (ready_set, key) in read(&self.ready_sets).values() {\n            \
                  ready_set.mark(*key);\n        }\n",
        with: "            grows\n        });\n",
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = env::var("OUT_DIR")?;
    let mut variants = String::new();
    for variant in ["unchanged"].into_iter().chain(MUTANTS.iter().map(|mutant| mutant.name)) {
        let folder = Path::new(&out).join(variant);
        fs::create_dir_all(&folder)?;
        writeln!(variants, "pub mod {variant} {{")?;
        for (module, source) in MODULES {
            let path = folder.join(format!("{module}.rs"));
            fs::write(&path, mutated(variant, module, &fs::read_to_string(source)?)?)?;
            if !["frame", "position", "ready_set", "wire"].contains(module) {
                let path = path.to_str().ok_or("the path of the build is not UTF-8")?;
                writeln!(variants, "#[path = {path:?}] pub mod {module};")?;
            }
        }
        writeln!(variants, "}}")?;
    }
    fs::write(Path::new(&out).join("variants.rs"), variants)?;
    for (_, source) in MODULES {
        println!("cargo::rerun-if-changed={source}");
    }
    Ok(())
}

fn mutated(variant: &str, module: &str, source: &str) -> Result<String, String> {
    // The crate of each variant is a module here, and the unit tests stay behind.
    let mut text = source.replace("#[cfg(test)]\nmod tests;\n", "");
    for (path, here) in [("crate::lane", "super::lane"), ("super::super::", "super::")] {
        text = text.replace(path, here);
    }
    for mutant in
        MUTANTS.iter().chain(ALSO).filter(|mutant| (mutant.name, mutant.module) == (variant, module))
    {
        if text.matches(mutant.replace).count() != 1 {
            return Err(format!(
                "{variant}: its text does not occur exactly once in {module}: {}",
                mutant.replace
            ));
        }
        text = text.replace(mutant.replace, mutant.with);
    }
    Ok(text)
}
