//! The console: the page for people, and the headers that keep other pages out of it.

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

/// The console may load and ask nothing but this server, and nobody may frame it.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                              img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and what it loads.
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
        // The next version of the program brings the next version of the page.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
