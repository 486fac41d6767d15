"""Transform a photo with the official Python SDK `runware`, over a WebSocket to your own server.

pip install runware==0.5.24
python python_runware.py photo.jpg transformed.jpg
"""

import asyncio
import os
import sys
import urllib.request

from runware import IImageInference, Runware


async def transform(photo: str) -> str:
    client = Runware(
        api_key=os.environ.get("RUNWARE_API_KEY", "local"),
        url=os.environ.get("RUNWARE_URL", "ws://127.0.0.1:8080/v1"),
    )
    await client.connect()
    try:
        images = await client.imageInference(
            requestImage=IImageInference(
                model="runware:101@1",
                positivePrompt="a pagoda above a lake at sunset, vaporwave",
                seedImage=photo,  # a path; the client sends the photo inside the task
                strength=0.6,
                steps=20,
                width=768,
                height=512,
            )
        )
    finally:
        await client.disconnect()
    return images[0].imageURL


if __name__ == "__main__":
    photo_path, result_path = sys.argv[1:]
    image_url = asyncio.run(transform(photo_path))
    urllib.request.urlretrieve(image_url, result_path)
    print(f"{image_url} saved as {result_path}")
