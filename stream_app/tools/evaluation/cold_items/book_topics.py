"""Words of the generated bookshop: topics, each with its own words, and looks of books."""

from typing import Final

TOPICS: Final = tuple(
    tuple(words.split(", "))
    for words in (
        "sailing, yacht, harbor, anchor, regatta, tides, rudder, lighthouse, mast, mooring, keel, seamanship",
        "baking, bread, sourdough, pastry, cake, oven, flour, croissant, muffin, dough, cookies, pie",
        "astronomy, stars, telescope, galaxy, planets, nebula, comet, orbit, eclipse, cosmos, constellation",
        "knitting, yarn, wool, crochet, needles, stitches, embroidery, sewing, quilt, weaving, lace, fabric",
        "chess, grandmaster, checkmate, endgame, opening gambit, pawn, bishop, tournament, castling, board games",
        "gardening, flowers, seeds, greenhouse, roses, pruning, vegetables, orchard, lawn, compost, herbs, tulips",
        "horses, riding, saddle, pony, stallion, stable, dressage, jockey, bridle, gallop, foal, equestrian",
        "railways, locomotive, steam train, station, tracks, tram, signal box, express, carriage, subway",
        "photography, camera, lens, darkroom, portrait, exposure, aperture, snapshot, shutter, film roll",
        "yoga, meditation, breathing, mindfulness, stretching, relaxation, pilates, calm, posture, chakra, zen",
        "wine, vineyard, grapes, sommelier, cellar, champagne, tasting, burgundy, cork, chardonnay, winery",
        "dinosaurs, fossils, jurassic, tyrannosaurus, paleontology, bones, extinction, mammoth, cretaceous",
        "jazz, saxophone, blues, trumpet, improvisation, swing, trombone, bebop, orchestra, melody, piano",
        "mathematics, algebra, geometry, theorem, equations, calculus, prime numbers, proof, fractions",
        "mythology, gods, zeus, odyssey, legends, hercules, oracle, olympus, dragons, norse sagas, folklore",
        "birds, owls, feathers, eagle, sparrow, nest, falcon, songbirds, migration, parrot, woodpecker, plumage",
        "cycling, bicycle, tour de france, pedals, mountain bike, gears, handlebar, velodrome, tandem, sprint",
        "medicine, surgery, doctor, anatomy, hospital, vaccine, diagnosis, nurse, heart disease, antibiotics",
        "pirates, treasure, buccaneer, cutlass, galleon, plunder, privateer, corsair, shipwreck, island map",
        "football, goalkeeper, penalty, striker, league, stadium, world cup, referee, midfield, soccer, derby",
    )
)
"""Words by topic; those of one topic share a subject, and hardly ever a word."""

LOOKS: Final = tuple(
    tuple(words.split(", "))
    for words in (
        "for beginners, an introduction, first steps, made easy, starter course",
        "for children, for kids, bedtime stories, for little readers, picture tales",
        "an academic study, scholarly essays, a thesis, research papers, collected lectures",
        "a funny book, jokes, comic tales, humor, silly stories",
        "a thriller, a murder mystery, a detective case, a crime story, suspense",
        "a romance, a love story, passion, affairs of the heart, wedding bells",
    )
)
"""What a book is like, each with several ways to say it."""

PUBLISHERS: Final = (
    "Oakhill",
    "Meridian",
    "Bluegate",
    "Larkspur",
    "Northway",
    "Quayside",
    "Ferrum",
    "Saffron",
)

FORMATS: Final = ("paperback", "hardcover", "e-book", "audio book")

COUNTRIES: Final = ("FR", "DE", "ES", "IT", "PL")
