//! The setting `macos` in the passes that read it.

use virt_patch::host::Facts;
use virt_patch::passes::settings::Settings;
use virt_patch::passes::{self, Context};
use virt_patch::pipeline::{self, Step};

#[test]
fn the_cpu_is_checked_against_the_release() {
    let westmere = &["sse4_1", "sse4_2"][..];
    let haswell = &["sse4_1", "sse4_2", "avx2"][..];
    let domain = "<domain type='kvm'><name>m</name></domain>";
    let emulated = "<domain type='qemu'><name>m</name></domain>";
    for (domain, host, settings, note) in [
        (
            domain,
            westmere,
            "mac.model=MacPro7,1 cpu-override.model=Cascadelake-Server",
            "Tahoe 26 (the newest for a MacPro7,1; --macos chooses another) needs AVX2, which the host's processor does not have; it is enough for Monterey 12",
        ),
        (
            domain,
            haswell,
            "mac.model=MacPro7,1 cpu-override.model=Cascadelake-Server",
            "",
        ),
        (
            domain,
            westmere,
            "mac.model=MacPro7,1 macos=monterey cpu-override.model=Cascadelake-Server",
            "",
        ),
        (
            emulated,
            westmere,
            "mac.model=MacPro7,1 cpu-override.model=Cascadelake-Server",
            "",
        ),
        (
            domain,
            haswell,
            "mac.model=MacPro7,1 macos=10.15 cpu-override.model=Penryn",
            "Catalina 10.15 (as --macos says) needs SSE4.2, which a Penryn does not have; it is enough for Mojave 10.14",
        ),
        (
            domain,
            haswell,
            "mac.model=MacPro7,1 macos=10.15 cpu-override.model=Penryn cpu-override.features=+sse4.2,+rdrand",
            "",
        ),
        (
            domain,
            haswell,
            "mac.model=MacPro5,1 macos=10.15 cpu-override.model=Westmere-v2",
            "a MacPro5,1 does not run Catalina 10.15: it runs up to Mojave 10.14",
        ),
        (
            domain,
            haswell,
            "mac.model=MacPro5,1 macos=Ventura cpu-override.model=Westmere-v2",
            "a MacPro5,1 does not run Ventura 13: it runs up to Mojave 10.14|Ventura 13 (as --macos says) needs AVX2, which a Westmere-v2 does not have; it is enough for Monterey 12",
        ),
        // A model that is in no table is not judged.
        (
            domain,
            haswell,
            "mac.model=MacPro7,1 cpu-override.model=max",
            "",
        ),
        (
            domain,
            haswell,
            "mac.model=MacPro7,1 macos=ventura cpu-override.model=Opteron_G5",
            "Ventura 13 (as --macos says) needs AVX2, which a Opteron_G5 does not have; it is enough for Monterey 12",
        ),
        (
            domain,
            haswell,
            "mac.model=MacPro7,1 macos=ventura cpu-override.model=Cascadelake-Server cpu-override.features=-avx2",
            "Ventura 13 (as --macos says) needs AVX2, which a Cascadelake-Server with -avx2 does not have; it is enough for Monterey 12",
        ),
        (
            domain,
            haswell,
            "mac.model=MacPro7,1 macos=ventura cpu-override.model=qemu64",
            "Ventura 13 (as --macos says) needs AVX2, which a qemu64 does not have",
        ),
    ] {
        let mut facts = Facts::default();
        facts.cpu.vendor = Some("GenuineIntel".to_owned());
        facts.cpu.features = Some(host.iter().map(|name| (*name).to_owned()).collect());
        let mut chosen = Settings::default();
        for pair in settings.split_whitespace() {
            let (key, value) = pair.split_once('=').unwrap();
            chosen.set(key, value).unwrap();
        }
        let context = Context {
            facts: &facts,
            settings: &chosen,
            template: false,
        };
        let steps = [Step::Pass(passes::find("cpu-override").unwrap())];
        let plan = pipeline::run(domain, &steps, &context).unwrap();
        assert_eq!(plan.steps[0].notes.join("|"), note, "{settings}");
    }
}

#[test]
fn the_chart_is_listed() {
    let output = assert_cmd::Command::cargo_bin("virt-patch")
        .unwrap()
        .args(["list", "macpro5,1"])
        .output()
        .unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    for row in [
        "MacPro7,1 (2019): Catalina 10.15 and later\n",
        "MacPro5,1 (2010): up to Mojave 10.14  <- this one\n",
        "MacPro4,1 (2009): up to El Capitan 10.11\n",
        "MacPro3,1 (2008): up to El Capitan 10.11\n",
        "MacPro2,1 (2007): up to Lion 10.7\n",
    ] {
        assert!(listed.contains(row), "{listed}");
    }
}
