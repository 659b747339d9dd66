"""The 27 datasets of CLIP's table 9 by name, read from local files in the layout their authors publish.

A new one is a `Published` below with its reader, and a tiny tree of its layout in the test.
"""

from pathlib import Path

from train.evals.datasets import arrays, folders, lists, matlab, scenes, videos
from train.evals.datasets.names import read_names
from train.evals.datasets.published import EvaluationSet, Published, check_tree
from train.evals.datasets.webdataset import open_tars, tars_of
from train.evals.metrics import Metric

A_PHOTO = ("a photo of a {}.",)

DATASETS: dict[str, Published] = {
    "birdsnap": Published(
        section="Birdsnap",
        num_classes=500,
        tree=("species.txt, images.txt, test_images.txt and download/images/Acadian_Flycatcher/*.jpg",),
        marks=("species.txt",),
        classes=lists.birdsnap_classes,
        read=lists.read_birdsnap,
        templates=("a photo of a {}, a type of bird.",),
    ),
    "caltech101": Published(
        section="Caltech101",
        num_classes=102,
        tree=("101_ObjectCategories/accordion/image_0001.jpg",),
        marks=("101_ObjectCategories/*",),
        classes=folders.caltech101_classes,
        read=folders.read_caltech101,
        templates=A_PHOTO,
        metric=Metric.MEAN_PER_CLASS,
        note="no official split: 30 pictures a class are for training, as many as the paper's, by hash",
    ),
    "cars": Published(
        section="StanfordCars",
        num_classes=196,
        tree=("devkit/*.mat, cars_test_annos_withlabels.mat, cars_train/*.jpg and cars_test/*.jpg",),
        marks=("devkit/cars_meta.mat",),
        classes=matlab.cars_classes,
        read=matlab.read_cars,
        templates=A_PHOTO,
    ),
    "cifar10": Published(
        section="CIFAR10",
        num_classes=10,
        tree=(
            "cifar-10-batches-bin/{data_batch_1,test_batch}.bin",
            "cifar-10-batches-py/{data_batch_1,test_batch}",
            "{train,test}/airplane/*.jpg",
        ),
        marks=(
            "cifar-10-batches-bin/*.bin",
            "cifar-10-batches-py/*_batch*",
            "test/airplane",
            "train/airplane",
        ),
        classes=lambda root: read_names("cifar10"),
        named_by_us=True,
        read=arrays.read_cifar10,
        templates=A_PHOTO,
    ),
    "cifar100": Published(
        section="CIFAR100",
        num_classes=100,
        tree=(
            "cifar-100-binary/{train.bin,test.bin,fine_label_names.txt}",
            "cifar-100-python/{train,test,meta}",
        ),
        marks=("cifar-100-binary/*.bin", "cifar-100-python/meta"),
        classes=arrays.cifar100_classes,
        read=arrays.read_cifar100,
        templates=A_PHOTO,
    ),
    "clevr_counts": Published(
        section="CLEVRCounts",
        num_classes=8,
        tree=("CLEVR_v1.0/images/val/*.png and CLEVR_v1.0/scenes/CLEVR_val_scenes.json",),
        marks=("CLEVR_v1.0/scenes/*.json",),
        classes=lambda root: scenes.CLEVR_COUNTS,
        named_by_us=True,
        read=scenes.read_clevr,
        templates=("a photo of {} objects.",),
        note="the paper's 2,000 and 500 pictures are not published: as many, chosen by hash",
    ),
    "country211": Published(
        section="Country211",
        num_classes=211,
        tree=("country211/{train,valid,test}/AD/*.jpg",),
        marks=("country211/*/*",),
        classes=lambda root: read_names("country211"),
        named_by_us=True,
        read=folders.read_country211,
        templates=("a photo i took in {}.",),
        splits=("train", "val", "test"),
    ),
    "dtd": Published(
        section="DescribableTextures",
        num_classes=47,
        tree=("dtd/images/banded/*.jpg and dtd/labels/{train1,val1,test1}.txt",),
        marks=("dtd/labels/*.txt",),
        classes=lists.dtd_classes,
        read=lists.read_dtd,
        templates=("a photo of a {} texture.",),
        splits=("train", "val", "test"),
    ),
    "eurosat": Published(
        section="EuroSAT",
        num_classes=10,
        tree=("2750/Forest/Forest_1.jpg",),
        marks=("2750/*",),
        classes=lambda root: tuple(folders.EUROSAT.values()),
        named_by_us=True,
        read=folders.read_eurosat,
        templates=("a centered satellite photo of {}.",),
        note="no official split: 1,000 pictures a class for training and 500 for testing, chosen by hash",
    ),
    "fer2013": Published(
        section="FacialEmotionRecognition2013",
        num_classes=7,
        tree=("fer2013.csv", "icml_face_data.csv"),
        marks=("fer2013.csv", "icml_face_data.csv"),
        classes=lambda root: arrays.FER2013,
        named_by_us=True,
        read=arrays.read_fer2013,
        templates=("a photo of a {} looking face.",),
        splits=("train", "val", "test"),
    ),
    "fgvc_aircraft": Published(
        section="FGVCAircraft",
        num_classes=100,
        tree=("fgvc-aircraft-2013b/data/{images/*.jpg,images_variant_test.txt,variants.txt}",),
        marks=("fgvc-aircraft-2013b/data/variants.txt",),
        classes=lists.aircraft_classes,
        read=lists.read_aircraft,
        templates=("a photo of a {}, a type of aircraft.",),
        metric=Metric.MEAN_PER_CLASS,
        splits=("train", "val", "test"),
    ),
    "flowers102": Published(
        section="Flowers102",
        num_classes=102,
        tree=("jpg/image_00001.jpg, imagelabels.mat and setid.mat",),
        marks=("setid.mat",),
        classes=lambda root: read_names("flowers102"),
        named_by_us=True,
        read=matlab.read_flowers102,
        templates=("a photo of a {}, a type of flower.",),
        metric=Metric.MEAN_PER_CLASS,
        splits=("train", "val", "test"),
    ),
    "food101": Published(
        section="Food101",
        num_classes=101,
        tree=("food-101/images/apple_pie/*.jpg and food-101/meta/{classes,train,test}.txt",),
        marks=("food-101/meta/classes.txt",),
        classes=lists.food101_classes,
        read=lists.read_food101,
        templates=("a photo of {}, a type of food.",),
    ),
    "gtsrb": Published(
        section="GTSRB",
        num_classes=43,
        tree=("GTSRB/Final_Training/Images/00000/*, GTSRB/Final_Test/Images/*.ppm and GT-final_test.csv",),
        marks=("GTSRB/Final_Training/Images/*", "GT-final_test.csv"),
        classes=lambda root: read_names("gtsrb"),
        named_by_us=True,
        read=scenes.read_gtsrb,
        templates=('a zoomed in photo of a "{}" traffic sign.',),
    ),
    "hateful_memes": Published(
        section="HatefulMemes",
        num_classes=2,
        tree=("img/*.png, train.jsonl and dev_seen.jsonl (or dev.jsonl)",),
        marks=("train.jsonl", "dev*.jsonl"),
        classes=lambda root: ("meme", "hatespeech meme"),
        named_by_us=True,
        read=lists.read_hateful_memes,
        templates=("a {}.",),
        metric=Metric.ROC_AUC,
        note="tested on the 500 of the seen development set, as the paper does: the test set has no labels",
    ),
    "imagenet": Published(
        section="ImageNet",
        num_classes=1000,
        tree=(
            "{train,val}/n01440764/*.JPEG and LOC_synset_mapping.txt",
            "ILSVRC2012_img_val/*.JPEG and ILSVRC2012_devkit_t12/data/*",
        ),
        marks=("val/n*", "train/n*", "ILSVRC2012_devkit_t12/data/meta.mat"),
        classes=folders.imagenet_classes,
        read=folders.read_imagenet,
        templates=A_PHOTO,
    ),
    "kinetics700": Published(
        section="Kinetics700",
        num_classes=700,
        tree=("annotations/{train,val}.csv and {train,val}/<youtube id>_000001_000011.mp4",),
        marks=("annotations/*.csv",),
        classes=videos.kinetics_classes,
        read=videos.read_kinetics,
        templates=("a photo of {}.",),
        metric=Metric.TOP1_TOP5,
        note="tested on the validation clips: the test set's labels are not published",
    ),
    "kitti_distance": Published(
        section="KITTI",
        num_classes=4,
        tree=("training/{image_2/*.png,label_2/*.txt} and mapping/{train_rand,train_mapping}.txt",),
        marks=("training/label_2/*.txt",),
        classes=lambda root: scenes.KITTI_DISTANCES,
        named_by_us=True,
        read=scenes.read_kitti,
        templates=("{}",),
    ),
    "mnist": Published(
        section="MNIST",
        num_classes=10,
        tree=("{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz",),
        marks=("t10k-labels-idx1-ubyte*", "train-labels-idx1-ubyte*"),
        classes=lambda root: tuple("0123456789"),
        named_by_us=True,
        read=arrays.read_mnist,
        templates=('a photo of the number: "{}".',),
    ),
    "oxford_pets": Published(
        section="OxfordPets",
        num_classes=37,
        tree=("images/*.jpg and annotations/{trainval,test}.txt",),
        marks=("annotations/trainval.txt",),
        classes=lists.pets_classes,
        read=lists.read_pets,
        templates=("a photo of a {}, a type of pet.",),
        metric=Metric.MEAN_PER_CLASS,
    ),
    "patch_camelyon": Published(
        section="PatchCamelyon",
        num_classes=2,
        tree=("camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5",),
        marks=("camelyonpatch_level_2_split_*_y.h5",),
        classes=lambda root: ("lymph node", "lymph node containing metastatic tumor tissue"),
        named_by_us=True,
        read=arrays.read_patch_camelyon,
        templates=("this is a photo of {}",),
        splits=("train", "val", "test"),
    ),
    "rendered_sst2": Published(
        section="SST2",
        num_classes=2,
        tree=("rendered-sst2/{train,valid,test}/{negative,positive}/*.png",),
        marks=("rendered-sst2/*/*",),
        classes=lambda root: ("negative", "positive"),
        named_by_us=True,
        read=folders.read_rendered_sst2,
        templates=("a {} review of a movie.",),
        splits=("train", "val", "test"),
    ),
    "resisc45": Published(
        section="RESISC45",
        num_classes=45,
        tree=("NWPU-RESISC45/airplane/airplane_001.jpg",),
        marks=("NWPU-RESISC45/*",),
        classes=folders.resisc45_classes,
        read=folders.read_resisc45,
        templates=("satellite imagery of {}.",),
        note="no official split: 10 % of each class are for training, as many as the paper's, by hash",
    ),
    "stl10": Published(
        section="STL10",
        num_classes=10,
        tree=(
            "stl10_binary/{train_X.bin,train_y.bin,test_X.bin,test_y.bin,class_names.txt,fold_indices.txt}",
        ),
        marks=("stl10_binary/*.bin",),
        classes=arrays.stl10_classes,
        read=arrays.read_stl10,
        templates=A_PHOTO,
        num_training_folds=10,
    ),
    "sun397": Published(
        section="SUN397",
        num_classes=397,
        tree=("SUN397/a/abbey/*.jpg, ClassName.txt, Training_01.txt and Testing_01.txt",),
        marks=("ClassName.txt",),
        classes=lists.sun397_classes,
        read=lists.read_sun397,
        templates=A_PHOTO,
    ),
    "ucf101": Published(
        section="UCF101",
        num_classes=101,
        tree=("UCF-101/ApplyEyeMakeup/*.avi and ucfTrainTestlist/{classInd,trainlist01,testlist01}.txt",),
        marks=("ucfTrainTestlist/classInd.txt",),
        classes=videos.ucf101_classes,
        read=videos.read_ucf101,
        templates=("a photo of a person {}.",),
        num_training_folds=3,
        num_test_folds=3,
    ),
    "voc2007": Published(
        section="PascalVOC2007",
        num_classes=20,
        tree=("VOCdevkit/VOC2007/JPEGImages/*.jpg and VOCdevkit/VOC2007/ImageSets/Main/aeroplane_test.txt",),
        marks=("VOCdevkit/VOC2007/ImageSets/Main/*.txt",),
        classes=lambda root: lists.VOC2007,
        named_by_us=True,
        read=lists.read_voc2007,
        templates=A_PHOTO,
        metric=Metric.MAP_11,
    ),
}


def open_dataset(
    name: str,
    root: Path,
    split: str = "test",
    *,
    fold: int = 1,
    prompts: Path | None = None,
    class_names: list[str] | None = None,
) -> EvaluationSet:
    """Return a split of a dataset at `root`, in its published layout or as webdataset tars.

    Args:
        name: of DATASETS.
        root: the folder that holds what the authors' archives unpack to; or tars in it, or in ROOT/<split>.
        split: train, test and, where the authors have one, val.
        fold: from 1, of a dataset with several official splits.
        prompts: a copy of CLIP's data/prompts.md, for the paper's own class names and templates.
        class_names: other names, one a class in the dataset's order.

    Raises ValueError, in one line that says what is expected where, for anything that is not there.
    """
    if name not in DATASETS:
        raise ValueError(f"unknown dataset {name!r}, known: {', '.join(DATASETS)}. Next: pass one of them")
    published = DATASETS[name]
    published.check_split(name, split, fold)
    if tars_of(root, split):
        return open_tars(name, published, root, split, prompts=prompts, class_names=class_names)
    check_tree(name, published, root)
    names, templates = published.words(name, root, prompts, class_names)
    return EvaluationSet(
        name=name,
        root=root,
        split=split,
        fold=fold,
        synonyms=names,
        templates=templates,
        metric=published.metric,
        open=lambda: published.read(root, split, fold),
    )
