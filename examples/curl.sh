#!/usr/bin/env bash
# Transform a photo with curl: the basic request of the image-to-image guide, the photo as a data URI.
#
# bash curl.sh photo.jpg transformed.jpg
set -euo pipefail

photo=$1
result=$2
url=${RUNWARE_URL:-http://127.0.0.1:8080/v1}
# Every task has a UUID of its own; a server refuses to do one twice.
task_uuid=${TASK_UUID:-$(python3 -c 'import uuid; print(uuid.uuid4())')}
data_uri="data:image/jpeg;base64,$(base64 <"$photo" | tr -d '\n')"

reply=$(
    curl --silent --show-error --max-time 600 "$url" \
        --header "Authorization: Bearer ${RUNWARE_API_KEY:-local}" \
        --header "Content-Type: application/json" \
        --data-binary @- <<JSON
[
  {
    "taskType": "imageInference",
    "taskUUID": "$task_uuid",
    "model": "runware:101@1",
    "positivePrompt": "A wide desert with soft sand dunes, dry air, and scattered cacti under a clear blue sky, watercolor painting style",
    "seedImage": "$data_uri",
    "strength": 0.9,
    "width": 1024,
    "height": 1024,
    "steps": 30
  }
]
JSON
)
echo "$reply"

image_url=$(sed -n 's/.*"imageURL" *: *"\([^"]*\)".*/\1/p' <<<"$reply")
test -n "$image_url"
curl --silent --show-error --fail --output "$result" "$image_url"
echo "saved as $result"
