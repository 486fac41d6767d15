"""Transform a photo with the official Python SDK `runware-sdk`, over HTTP to your own server.

It must not share an environment with the older `runware`: both are imported as `runware`.

pip install runware-sdk==1.8.0
python python_runware_sdk.py photo.jpg transformed.jpg
"""

import asyncio
import os
import sys
import urllib.request

from runware import Runware, file_to_base64


async def transform(photo: str) -> str:
    client = Runware(
        api_key=os.environ.get("RUNWARE_API_KEY", "local"),
        transport="rest",
        http_base_url=os.environ.get("RUNWARE_URL", "http://127.0.0.1:8080/v1"),
    )
    async with client:
        uploads = await client.image_upload({"image": file_to_base64(photo)})
        images = await client.run(
            {
                "taskType": "imageInference",
                "model": "runware:101@1",
                "positivePrompt": "a pagoda above a lake at sunset, vaporwave",
                "seedImage": uploads[0]["imageUUID"],
                "strength": 0.6,
                "steps": 20,
                "width": 768,
                "height": 512,
            }
        )
    return images[0]["imageURL"]


if __name__ == "__main__":
    photo_path, result_path = sys.argv[1:]
    image_url = asyncio.run(transform(photo_path))
    urllib.request.urlretrieve(image_url, result_path)
    print(f"{image_url} saved as {result_path}")
