"""An application of aiohttp.web that holds one client, as README advises."""

from collections.abc import AsyncIterator

from aiohttp import web

from intercom_async import IntercomClient

INTERCOM = web.AppKey("intercom", IntercomClient)


async def intercom(app: web.Application) -> AsyncIterator[None]:
    async with IntercomClient() as client:
        app[INTERCOM] = client
        yield


async def detach(request: web.Request) -> web.Response:
    ids = request.match_info
    client = request.app[INTERCOM]
    await client.detach_contact(ids["conversation"], ids["contact"], admin_id="5017690")
    return web.Response(status=204)


app = web.Application()
app.cleanup_ctx.append(intercom)
app.router.add_delete("/conversations/{conversation}/contacts/{contact}", detach)
