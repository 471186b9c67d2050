"""Tasks: the one taxonomy that the catalog, searches and model cards share.

The names are those of Hugging Face's pipeline tags where one fits. ``object-detection/face`` is a narrower
task below ``object-detection``. Each row also has the other spellings that are accepted, among them those of
Open Model Zoo, and the words that people search by.
"""

from __future__ import annotations

from functools import cache

from msgspec import Struct


class Task(Struct, frozen=True):
    """One row: what such a model does, other spellings of its name, and words that find it."""

    does: str
    spellings: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


def _row(does: str, spellings: str = "", words: str = "") -> Task:
    return Task(does, tuple(spellings.split()), tuple(words.split()))


TASKS: dict[str, Task] = {
    "image-classification": _row("which class a picture shows", "classification", "recognition imagenet"),
    "image-classification/age-gender": _row("age and gender of a face", "age_gender_recognition", "age sex"),
    "image-classification/attributes": _row(
        "attributes of a thing", "object_attributes person_attributes vehicle_attributes", "colour clothing"
    ),
    "image-classification/emotion": _row(
        "the emotion a face shows", "emotion_recognition", "mood expression"
    ),
    "image-classification/eye-state": _row(
        "whether an eye is open", "eye_state_classification", "drowsiness"
    ),
    "image-classification/liveness": _row(
        "a live face or an imitation", "face_anti_spoofing anti_spoofing", "spoof presentation attack"
    ),
    "image-classification/nsfw": _row("whether a picture is fit to be shown", "", "nudity moderation safe"),
    "image-classification/text-orientation": _row(
        "whether text is upside down", "text_orientation", "ocr rotated angle"
    ),
    "image-classification/weld": _row("defects of a weld", "weld_defect_classification", "porosity"),
    "object-detection": _row("objects with their boxes", "detection", "detector boxes"),
    "object-detection/action": _row(
        "people with what they do", "person_detection_and_action_recognition", "detector boxes"
    ),
    "object-detection/face": _row("faces with their boxes", "face_detection", "detector boxes"),
    "object-detection/hand": _row(
        "hands with their boxes", "hand_detection palm_detection", "detector boxes"
    ),
    "object-detection/layout": _row(
        "parts of a page, such as tables and figures", "layout_detection layout_analysis", "document boxes"
    ),
    "object-detection/license-plate": _row(
        "vehicles and number plates", "vehicle_and_license_plate_detection", "detector boxes car anpr alpr"
    ),
    "object-detection/person": _row(
        "people with their boxes", "person_detection pedestrian_detection", "detector boxes pedestrian"
    ),
    "object-detection/product": _row("products with their boxes", "product_detection", "detector boxes shop"),
    "object-detection/text": _row("lines or words of text", "text_detection", "ocr detector boxes"),
    "object-detection/traffic": _row(
        "people, vehicles and bicycles", "person_vehicle_bike_detection", "detector boxes car bike"
    ),
    "object-detection/vehicle": _row("vehicles with their boxes", "vehicle_detection", "detector boxes car"),
    "image-segmentation": _row("a class or an object for each pixel", "segmentation", "mask"),
    "image-segmentation/instance": _row("objects with their outlines", "instance_segmentation", "mask boxes"),
    "image-segmentation/matting": _row(
        "how far each pixel belongs to the foreground",
        "background_matting background_removal",
        "background removal alpha cutout portrait",
    ),
    "image-segmentation/medical": _row("organs or tumours", "brain_tumor_segmentation", "mask medicine"),
    "image-segmentation/salient": _row(
        "the thing that catches the eye", "salient_object_detection", "mask background removal saliency"
    ),
    "image-segmentation/semantic": _row(
        "the class of each pixel", "semantic_segmentation road_segmentation", "mask scene"
    ),
    "keypoint-detection": _row("points of a thing", "keypoints pose_estimation", "landmarks pose"),
    "keypoint-detection/face": _row("points of a face", "face_landmarks facial_landmarks", "landmarks mesh"),
    "keypoint-detection/hand": _row("points of a hand", "hand_landmarks", "landmarks gesture"),
    "keypoint-detection/human-pose": _row(
        "joints of people", "human_pose_estimation", "landmarks skeleton body"
    ),
    "keypoint-detection/iris": _row("points of an eye and its iris", "iris_landmarks", "landmarks eye"),
    "head-pose-estimation": _row("the angles of a head", "head_pose_estimation", "yaw pitch roll"),
    "gaze-estimation": _row("where eyes look", "gaze_estimation", "eye direction"),
    "depth-estimation": _row("the distance of each pixel", "monocular_depth_estimation", "depth"),
    "optical-flow": _row("how far each pixel moved", "optical_flow", "motion"),
    "video-classification": _row("which class a video shows", "action_recognition", "action video"),
    "video-classification/sign-language": _row(
        "which sign a person makes", "sign_language_recognition", "gesture action"
    ),
    "image-feature-extraction": _row(
        "a vector that describes a picture",
        "image_retrieval image_embedding",
        "embeddings features similarity",
    ),
    "image-feature-extraction/face": _row(
        "whose face it is, as a vector", "face_recognition", "embeddings reidentification identity"
    ),
    "image-feature-extraction/person": _row(
        "which person it is, as a vector", "person_reidentification", "embeddings reid tracking"
    ),
    "image-feature-extraction/place": _row(
        "which place it is, as a vector", "place_recognition", "embeddings localisation retrieval"
    ),
    "image-feature-extraction/vehicle": _row(
        "which vehicle it is, as a vector", "vehicle_reidentification", "embeddings reid tracking"
    ),
    "image-to-image": _row(
        "another picture", "image_processing image_translation", "enhancement restoration"
    ),
    "image-to-image/colorization": _row("the colours of a grey picture", "colorization", "colour"),
    "image-to-image/inpainting": _row("what is missing in a picture", "image_inpainting", "repair fill"),
    "image-to-image/medical": _row("a scan from fewer measurements", "mri_reconstruction", "mri medicine"),
    "image-to-image/style-transfer": _row("the picture in another style", "style_transfer", "paint art"),
    "image-to-image/super-resolution": _row("a larger picture", "super_resolution", "upscale enlarge"),
    "image-to-text": _row("a text about or in a picture", "image_to_text captioning", "caption"),
    "image-to-text/formula": _row("a formula as LaTeX", "formula_recognition", "ocr latex math"),
    "image-to-text/ocr": _row(
        "the text in a picture",
        "optical_character_recognition text_recognition text_spotting scene_text_recognition"
        " handwritten_text_recognition"
        " license_plate_recognition token_recognition ocr",
        "ocr reading handwriting",
    ),
    "image-text-to-text": _row(
        "an answer about a picture",
        "image_text_to_text visual_question_answering",
        "vlm chat vision multimodal",
    ),
    "text-to-image": _row("a picture from a description", "text_to_image", "diffusion drawing"),
    "text-to-video": _row("a video from a description", "text_to_video", "diffusion"),
    "text-generation": _row("more text", "text_generation text_prediction", "llm chat gpt language"),
    "text-classification": _row(
        "which class a text belongs to", "text_classification", "sentiment moderation"
    ),
    "token-classification": _row(
        "the class of each word", "named_entity_recognition token_classification ner", "entities"
    ),
    "question-answering": _row("an answer found in a text", "question_answering", "qa squad"),
    "translation": _row("the text in another language", "machine_translation", "translate"),
    "summarization": _row("the text in short", "", "summary"),
    "fill-mask": _row("the word that is missing", "fill_mask masked_language_modeling", "bert language"),
    "feature-extraction": _row(
        "a vector that describes a text",
        "feature_extraction text_embedding sentence-similarity sentence_embedding"
        " question_answering_embedding",
        "embeddings similarity rag retrieval",
    ),
    "text-ranking": _row("how well a text answers a question", "text_ranking rerank", "reranker rag"),
    "automatic-speech-recognition": _row(
        "what is said, as text", "speech_recognition speech_to_text asr stt", "transcription speech"
    ),
    "text-to-speech": _row("speech from a text", "text_to_speech text-to-audio tts", "voice vocoder"),
    "voice-activity-detection": _row("when somebody speaks", "voice_activity_detection vad", "speech"),
    "voice-activity-detection/turn": _row(
        "whether a speaker has finished", "end_of_turn_detection turn_detection", "vad speech"
    ),
    "audio-classification": _row("which sound it is", "sound_classification", "sound tagging events"),
    "audio-classification/quality": _row("how good speech sounds", "speech_quality", "mos score"),
    "audio-feature-extraction": _row(
        "a vector that describes a voice",
        "speaker_recognition speaker_embedding",
        "embeddings voice identity",
    ),
    "audio-to-audio": _row("the sound improved", "audio_to_audio", "enhancement separation"),
    "audio-to-audio/noise-suppression": _row(
        "speech without noise", "noise_suppression", "denoise enhancement"
    ),
    "music-transcription": _row("the notes of a piece", "music_transcription", "midi notes"),
    "pitch-estimation": _row("the pitch of a voice or an instrument", "pitch_estimation", "f0 frequency"),
    "time-series-forecasting": _row("how numbers go on", "time_series", "forecast prediction"),
    "file-type-classification": _row("which type a file has", "file_type_classification", "mime content"),
}
"""By name, a parent before what is below it."""


def canonical_task(text: str) -> str:
    """Return a task in the taxonomy's spelling; what the taxonomy does not know stays as it is."""
    return _spellings().get(_folded(text), text)


def task_matches(task: str, wanted: str) -> bool:
    """Whether a model's task is the wanted one, in any spelling, or below it."""
    wanted = canonical_task(wanted)
    return task == wanted or task.startswith(f"{wanted}/")


def task_words(task: str) -> tuple[str, ...]:
    """Return the words that find models of a task: of its name, its other spellings and its parent."""
    parent = task.partition("/")[0]
    rows = [TASKS[name] for name in dict.fromkeys((task, parent)) if name in TASKS]
    return (task, *(word for row in rows for word in (*row.spellings, *row.words)))


def task_spellings() -> list[str]:
    """Return every spelling of every task."""
    return [text for name, row in TASKS.items() for text in (name, *row.spellings)]


@cache
def _spellings() -> dict[str, str]:
    known = {_folded(name): name for name in TASKS}
    return {_folded(other): name for name, row in TASKS.items() for other in row.spellings} | known


def _folded(text: str) -> str:
    return text.strip().casefold().replace("_", "-")
