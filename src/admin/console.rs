//! The console, a page for people, and the headers that isolate it from other pages.

use axum::{
    Router,
    http::{
        HeaderName,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};

/// The console may load from and connect to this server alone, and no page may frame it.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                              img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of the page and of the files that it loads.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            "/",
            get(async || asset("text/html; charset=utf-8", include_str!("console/console.html"))),
        )
        .route(
            "/console.css",
            get(async || asset("text/css; charset=utf-8", include_str!("console/console.css"))),
        )
        .route(
            "/console.js",
            get(async || {
                asset("text/javascript; charset=utf-8", include_str!("console/console.js"))
            }),
        )
}

fn asset(media_type: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, media_type),
        (CONTENT_SECURITY_POLICY, CONSOLE_POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Revalidated each time: another version of the program may have another page.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
