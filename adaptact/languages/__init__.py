"""What people read in their language: English as it stands in the code, Japanese from one catalogue.

`locales/ja/adaptact.po` is the source that people edit; `make languages` finds the messages in the code and
writes the two files that are read at run time: `adaptact.mo` here, `ja.json` by the console.
"""
