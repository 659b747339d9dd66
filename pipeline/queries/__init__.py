"""The query list: from Wikipedia dumps, page views and WordNet to the search terms of a build.

wiki, markup     a dump's articles, and the text that a reader of them sees
counts, counted  their words and bigrams, counted in bounded memory; one file of input, counted
runs             sorted files of partial counts, added up bucket by bucket
words, bigrams, titles, wordnet   what each origin is
offers, choose   each origin's terms by its figure, and which of them are in the list
publish, report  the files, and what each origin gave
build            MAIN PATH: the phases in order
"""
