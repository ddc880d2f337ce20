"""Asks a CoAP resource with a payload and prints the answer: coap_get.py URI PAYLOAD."""

import asyncio
import sys

import aiocoap


async def main(uri: str, payload: str) -> None:
    context = await aiocoap.Context.create_client_context()
    request = aiocoap.Message(code=aiocoap.GET, uri=uri, payload=payload.encode())
    response = await asyncio.wait_for(context.request(request).response, 20)
    print(response.payload.decode())
    await context.shutdown()


asyncio.run(main(*sys.argv[1:]))
