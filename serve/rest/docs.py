"""`/docs`: the interactive page of the API, from files on this machine; it needs no internet."""

from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException

ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon.png": "image/png",
}


def docs_routes(title: str) -> APIRouter:
    """The page and the files it is made of."""
    router = APIRouter(prefix="/docs", include_in_schema=False)

    @router.get("")
    async def page() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=title,
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="/docs/favicon.png",
        )

    @router.get("/{name}")
    async def asset(name: str) -> Response:
        if name not in ASSETS:
            raise HTTPException(404)
        return Response((files("fastapi_offline") / "static" / name).read_bytes(), media_type=ASSETS[name])

    return router
