fn main() {
    // Leaves the napi_* symbols to the host on macOS, and finds them at load time on Windows.
    napi_build::setup();
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "macos") {
        // The standard library names libiconv for the linker, and nothing of ours uses it.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-dead_strip_dylibs");
    }
}
